"""What becomes of every row of the small exports of known systems (`exports/`). No tests here."""

ONE, TWO = "STORE-1/", "STORE-2/"
# What becomes of every row of a sample: by SKU, or store/SKU, either barcode, name and price of a valid item, or
# `excluded`, or a part of the name of the rule that it breaks.
Expected = dict[str, tuple[str, str, str] | str]
SAMPLES: dict[str, tuple[str, Expected]] = {
    "shopify.csv": (
        "Shopify",
        {
            "OAT-1": ("4006381333931", "Oat Drink", "2.49"),
            "TEA-50": ("96385074", "Green Tea 50 g", "4.00"),
            "TEA-100": ("036000291452", "Green Tea 100 g", "7.50"),
            "": "excluded",
            "BAR-S": "excluded",
            "BAR-L": "excluded",
            "GC-10": "excluded",
        },
    ),
    "shopify_new.csv": (
        "Shopify",
        {
            "OAT-1": ("4006381333931", "Oat Drink", "2.49"),
            "TEA-50": ("96385074", "Green Tea 50 g", "4.00"),
            "TEA-100": ("036000291452", "Green Tea 100 g", "7.50"),
            "": "excluded",
            "BAR-S": "excluded",
        },
    ),
    "square.csv": (
        "Square",
        {
            ONE + "WAT-1": ("036000291452", "Sparkling Water", "1.25"),
            TWO + "WAT-1": ("036000291452", "Sparkling Water", "1.50"),
            ONE + "LQ3F8M9AZ": "excluded",
            TWO + "LQ3F8M9AZ": ("96385074", "Club Sandwich Large", "8.50"),
            ONE + "GIFT": "excluded",
            TWO + "GIFT": "excluded",
            ONE + "SODA": "excluded",
            TWO + "SODA": "excluded",
            ONE + "NUTS": "price_decimal",
            TWO + "NUTS": "excluded",
        },
    ),
    "square_2019.csv": (
        "Square",
        {
            "036000291452": ("036000291452", "Sparkling Water", "1.25"),
            "1234": "external_product_id_required",
        },
    ),
    "clover.csv": (
        "Clover",
        {
            "COLA": ("4006381333931", "Cola 330 ml", "1.50"),
            "0KJ3W7M5NRB9P": ("4131", "Apple", "0.45"),
            "7YV4D2S8GHC1E": "external_product_id_required",
            "CHEESE": "price_decimal",
            "GIFT": "excluded",
            "OLD": "excluded",
        },
    ),
    "woocommerce.csv": (
        "WooCommerce",
        {
            "BRD-1": ("4006381333931", "Rye Bread", "3.90"),
            "HON": "excluded",
            "HON-250": ("96385074", "Honey - 250 g", "6.50"),
            "SECRET": "excluded",
            "SECRET-S": "excluded",
            "DRAFT": "excluded",
            "EBOOK": "excluded",
            "NOCODE": "external_product_id_required",
        },
    ),
    "woocommerce_de.csv": (
        "WooCommerce",
        {
            "BRO-1": ("4006381333931", "Roggenbrot", "3.90"),
            "HON": "excluded",
            "HON-250": ("96385074", "Honig - 250 g", "6.50"),
            "GEHEIM": "excluded",
        },
    ),
    "woocommerce_fr.csv": (
        "WooCommerce",
        {"RIZ-1": ("4006381333931", "Riz long", "3.50"), "RIZ-2": "excluded"},
    ),
    "lightspeed_r.csv": (
        "Lightspeed Retail (R-Series)",
        {
            "210000000001": ("036000291452", "Bike lamp", "19.99"),
            "210000000002": ("96385074", "Energy bar", "1.50"),
            "210000000003": "external_product_id_required",
        },
    ),
    "lightspeed_r_import.csv": (
        "Lightspeed Retail (R-Series)",
        {
            "210000000001": ("036000291452", "Bike lamp", "19.99"),
            "210000000002": ("96385074", "Energy bar", "1.50"),
            "210000000003": "external_product_id_required",
        },
    ),
    "lightspeed_x.csv": (
        "Lightspeed Retail (X-Series)",
        {
            "4006381333931": ("4006381333931", "T-Shirt S", "15.00"),
            "4006381110006": ("4006381110006", "T-Shirt M", "15.00"),
            "10001": "external_product_id_required",
            "4006381110013": "excluded",
            "4006381110020": ("4006381110020", "Set", "20.00"),
            "": "excluded",
        },
    ),
    "odoo.csv": (
        "Odoo",
        {
            "CHOC-M": ("4006381333931", "[CHOC-M] Chocolate (Milk)", "2.95"),
            "__export__.product_product_8_5e6f7a8b": ("96385074", "Pen", "1299.00"),
            "SERV": "excluded",
        },
    ),
    "odoo_labels.csv": (
        "Odoo",
        {
            "CHOC-M": ("4006381333931", "Chocolate", "2.95"),
            "e2": ("96385074", "Pen", "1.50"),
            "SERV": "excluded",
        },
    ),
    "bigcommerce.csv": (
        "BigCommerce",
        {
            "OAT-1": ("4006381333931", "Oat Drink", "2.49"),
            "": "excluded",
            "TEA": "external_product_id_required",
            "TEA-50": ("96385074", "Tea 50 g", "4.00"),
            "TEA-100": "price_decimal",
            "HID": "excluded",
            "EBOOK": "excluded",
        },
    ),
    "bigcommerce_v2.csv": (
        "BigCommerce",
        {
            "OAT-1": ("4006381333931", "Oat Drink", "2.49"),
            "TEA": ("96385074", "Tea", "4.00"),
            "TEA-50": "item_name_required",
            "": "excluded",
            "HID": "excluded",
        },
    ),
    "magento.csv": (
        "Magento",
        {
            "OAT-1": ("4006381333931", "Oat Drink", "2.49"),
            "TEA": "excluded",
            "TEA-50": ("96385074", "Tea 50 g", "4.00"),
            "OLD": "excluded",
        },
    ),
    "prestashop.csv": (
        "PrestaShop",
        {
            "HUI-1": ("4006381333931", "Huile d'olive", "8.90"),
            "2": ("036000291452", "Thé vert", "4.00"),
            "OLD": "excluded",
        },
    ),
    "loyverse.csv": (
        "Loyverse",
        {
            ONE + "10001": ("4006381333931", "Latte S", "3.20"),
            TWO + "10001": "excluded",
            ONE + "10002": ("96385074", "Latte L", "4.20"),
            TWO + "10002": ("96385074", "Latte L", "4.00"),
            ONE + "10003": "price_decimal",
            TWO + "10003": "excluded",
            ONE + "10004": ("4006381110013", "Set", "7.00"),
            TWO + "10004": "excluded",
            "": "excluded",
        },
    ),
    "google.tsv": (
        "Google Merchant Center",
        {
            "OAT-1": ("4006381333931", "Oat Drink & Barista", "2.49"),
            "TEA-1": "external_product_id_required",
        },
    ),
    "google_xml_names.csv": (
        "Google Merchant Center",
        {"OAT-1": ("4006381333931", "Oat Drink", "2.49")},
    ),
}
